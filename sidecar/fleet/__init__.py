"""Data that pods share and send to each other: tokens and credentials in Redis, leases, generations, busts."""
