output "control_plane" {
  description = "What routers and cells take: the addresses of the API, and the security group."
  value = {
    api               = [for node in sort(keys(local.nodes)) : "${local.address[node]}:${local.ports.api}"]
    security_group_id = aws_security_group.control.id
  }
}
