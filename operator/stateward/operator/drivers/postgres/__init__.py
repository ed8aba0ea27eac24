"""What PostgreSQL asks for beyond its folder: passwords, and another major."""
