"""The version of this product: one place, read by packaging, plan, journal and support."""

PRODUCT_VERSION = "0.1.0"
