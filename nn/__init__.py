"""Neural-network modules, functional forms, models, data and training."""
