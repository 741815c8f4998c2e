"""What an upsert does with a record whose key is there already."""
