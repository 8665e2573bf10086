"""What people look at: HTML and text for jobs, images, tasks and resources, and live displays."""
