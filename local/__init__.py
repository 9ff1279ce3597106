"""The local driver: real processes on this machine.

``driver`` implements ``lifecycle.driving.Driver``; ``gpus`` says what the machine has to give; ``keeper`` starts and
watches attempts. ``forked`` is what runs outside Baray: a small warden that forks a supervisor for each attempt. The
supervisors outlive the warden and Baray; a later driver finds them by what they leave on disk.
"""
