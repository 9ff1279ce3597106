"""The OpenAPI document: what FastAPI derives from the routes, completed so that nothing of it goes without words."""
