"""The guided tour: two routers, a tunnel between them, every exchange explained as it happens."""
