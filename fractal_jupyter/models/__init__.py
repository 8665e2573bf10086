"""The documents that users, servers and task packages hand over, checked at the border."""
