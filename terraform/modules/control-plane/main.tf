# The control plane: three nodes in three AZs, one Raft group, each with an address and a volume of its own that outlive the machine.

locals {
  azs   = sort(keys(var.network.subnets.control))
  ports = { api = 9002, peer = 9003 }
  nodes = { for at, az in local.azs : tostring(at + 1) => az }
  # Known before anything exists, since every node's configuration names all of them.
  address = { for node, az in local.nodes : node => cidrhost(var.network.subnets.control[az].cidr, 10) }
  tags    = merge(var.tags, { "bulkhead:role" = "control-plane" })
}

module "machine" {
  source      = "../machine"
  name        = "${var.name}-control"
  program     = "bulkhead-control-plane"
  region      = var.network.region
  build       = var.build
  kms_key_arn = var.kms_key_arn
  tags        = local.tags
  files       = { for name, file in var.blueprint_files : "${name}.toml" => file(file) }
  secrets = {
    "admin.token"   = var.secrets.admin_token
    "machine.token" = var.secrets.machine_token
    "peer.token"    = var.secrets.peer_token
    "certify.key"   = var.secrets.certify_key
  }
  rights = var.stamp_role_arn == null ? [] : [{
    Sid      = "Stamp"
    Effect   = "Allow"
    Action   = "sts:AssumeRole"
    Resource = var.stamp_role_arn
  }]
  configs = {
    for node, az in local.nodes : node => templatefile("${path.module}/config.toml.tftpl", {
      node    = node
      az      = az
      ports   = local.ports
      address = local.address[node]
      region  = var.network.region
      members = "[${join(", ", [
        for other, az in local.nodes : "{ node = ${other}, az = \"${az}\", peer = \"${local.address[other]}:${local.ports.peer}\" }"
      ])}]"
    })
  }
}

resource "aws_network_interface" "node" {
  for_each        = local.nodes
  subnet_id       = var.network.subnets.control[each.value].id
  private_ips     = [local.address[each.key]]
  security_groups = [aws_security_group.control.id]
  tags            = merge(local.tags, { Name = "${var.name}-control-${each.key}" })
}

resource "aws_ebs_volume" "data" {
  for_each          = local.nodes
  availability_zone = var.network.subnets.control[each.value].availability_zone
  type              = "gp3"
  size              = 50
  iops              = 3000
  throughput        = 125
  encrypted         = true
  kms_key_id        = var.kms_key_arn
  tags              = merge(local.tags, { Name = "${var.name}-control-${each.key}" })
}

resource "aws_instance" "node" {
  for_each             = local.nodes
  ami                  = var.image
  instance_type        = var.instance_type
  availability_zone    = var.network.subnets.control[each.value].availability_zone
  iam_instance_profile = module.machine.instance_profile
  user_data            = module.machine.user_data[each.key]
  ebs_optimized        = true
  tags                 = merge(local.tags, { Name = "${var.name}-control-${each.key}" })

  network_interface {
    device_index         = 0
    network_interface_id = aws_network_interface.node[each.key].id
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = 20
    encrypted   = true
    kms_key_id  = var.kms_key_arn
  }

  lifecycle {
    # Another image or build reaches one node after the other, never all at once by an apply.
    ignore_changes = [ami, user_data]
  }
}

resource "aws_volume_attachment" "data" {
  for_each    = local.nodes
  device_name = "/dev/sdf"
  instance_id = aws_instance.node[each.key].id
  volume_id   = aws_ebs_volume.data[each.key].id
}
