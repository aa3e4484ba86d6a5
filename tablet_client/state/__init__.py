"""What the tablet knows: the open annotation, its ink, its journal, what is seen and how. No Kivy, no sockets."""
