"""Access to the lab's machines: their users, pods and files."""
