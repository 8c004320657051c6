"""Extensions of Foreshock, as a third party would write them."""
