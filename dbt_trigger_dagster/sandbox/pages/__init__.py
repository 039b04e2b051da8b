"""What people see of the account in a browser; knows what is remembered, not the API."""
