output "cell" {
  description = "What the control plane reads: the cell, its blueprint, and its nodes as it records them, with the zone and instance of each."
  value = {
    cell           = var.cell
    blueprint      = local.blueprint.name
    blueprint_hash = var.blueprint_hash
    build          = var.build.version
    nodes = [
      for number in sort([for node in keys(local.nodes) : format("%020d", tonumber(node))]) : {
        node              = tonumber(number)
        az                = local.nodes[tostring(tonumber(number))]
        availability_zone = var.network.subnets.cell[local.nodes[tostring(tonumber(number))]].availability_zone
        instance          = aws_instance.node[tostring(tonumber(number))].id
        s3                = "${aws_network_interface.node[tostring(tonumber(number))].private_ip}:${local.ports.s3}"
        admin             = "${aws_network_interface.node[tostring(tonumber(number))].private_ip}:${local.ports.admin}"
        peer              = "${aws_network_interface.node[tostring(tonumber(number))].private_ip}:${local.ports.peer}"
      }
    ]
  }
}
