"""The ways through the inputs along which losses are drawn, one file per kind of input."""
