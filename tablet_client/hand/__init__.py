"""The scripted hand: works the application by touches and keys, as a person would. It never sees the truth."""
