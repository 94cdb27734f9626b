output "cells" {
  description = "What the control plane reads of each cell: `terraform output -json cells`."
  value       = { for name, cell in module.cell : name => cell.cell }
}

output "endpoint" {
  description = "Where clients find the fleet: let the certificate's name point here."
  value       = module.router.router.endpoint
}

output "control_plane" {
  description = "Addresses of the control plane's API."
  value       = module.control_plane.control_plane.api
}
