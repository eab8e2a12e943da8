"""What is committed as one, a trial mostly: what is asked, and what the answers mean."""
