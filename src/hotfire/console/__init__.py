"""The region's web pages."""
