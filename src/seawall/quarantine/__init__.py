"""Bad records set aside with their reason, and run again later."""
