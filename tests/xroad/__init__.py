"""Between governments: both sides of X-Road, against a stand-in of its Security Server."""
