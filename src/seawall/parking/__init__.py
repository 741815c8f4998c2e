"""Calls put aside until their service can take them."""

from seawall.parking.lot import ParkingLot
from seawall.parking.store import ParkedCall, ParkingStore

__all__ = ["ParkedCall", "ParkingLot", "ParkingStore"]
