"""Common ground: what every zone may use."""
