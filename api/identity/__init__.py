"""Who somebody is: logins of people, and systems of other governments."""
