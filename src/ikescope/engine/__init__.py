"""The IKE state machine."""
