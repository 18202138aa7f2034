"""`tidegate lint`: whether files hold ModelDeployments that the cluster would take, without a cluster."""
