"""The deep examination of one objective at one point."""
