"""Pens and fingers of Android, told apart; Kivy's own touches say neither what touches nor what lies between two frames."""
