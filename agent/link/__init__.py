"""The long-lived stream to the relay: liveness, wake-ups, inventory, certificate renewal."""
