# One cell: the nodes of its blueprint, spread over three AZs, each with an address and a volume of its own that outlive the machine.
#
# No figure of a cell is written here: all of them come from the blueprint's file.

locals {
  blueprint = jsondecode(trimspace(file(var.blueprint_file)))
  machine   = local.blueprint.machine
  name      = "bulkhead-${var.cell}"
  tags      = merge(var.tags, { "bulkhead:cell" = var.cell, "bulkhead:blueprint" = var.blueprint_hash })
  ports     = { s3 = 9000, admin = 9001, peer = 9002 }

  # As the control plane counts them: AZ by AZ in turn, so that nodes 1 to 3 are in three AZs.
  planned = {
    for at in range(3 * local.blueprint.topology.nodes_per_az) : tostring(at + 1) => local.blueprint.topology.azs[at % 3]
  }
  nodes = { for node, az in merge(local.planned, var.added) : node => az if !contains(var.removed, node) }
}

module "machine" {
  source      = "../machine"
  name        = local.name
  program     = "bulkhead-cell"
  region      = var.network.region
  build       = var.build
  kms_key_arn = var.kms_key_arn
  tags        = local.tags
  files       = { "blueprint.json" = trimspace(file(var.blueprint_file)) }
  secrets = {
    "admin.token"   = var.secrets.admin_token
    "peer.token"    = var.secrets.peer_token
    "cell.key"      = var.secrets.cell_key
    "machine.token" = var.secrets.machine_token
  }
  configs = {
    for node, az in local.nodes : node => templatefile("${path.module}/config.toml.tftpl", {
      cell          = var.cell
      node          = node
      az            = az
      ports         = local.ports
      control_plane = jsonencode(var.control_plane.api)
      region        = var.network.region
      domains       = jsonencode(var.domains)
    })
  }
}

# Nodes of an AZ are on different racks, as far as AWS allows it: seven in each AZ.
resource "aws_placement_group" "cell" {
  name     = local.name
  strategy = local.blueprint.topology.nodes_per_az <= 7 ? "spread" : "partition"
  tags     = local.tags
}

# A node's address stays with it when its machine is replaced.
resource "aws_network_interface" "node" {
  for_each        = local.nodes
  subnet_id       = var.network.subnets.cell[each.value].id
  security_groups = [aws_security_group.cell.id]
  tags            = merge(local.tags, { Name = "${local.name}-${each.key}" })

  lifecycle {
    precondition {
      condition     = contains(local.blueprint.topology.azs, each.value)
      error_message = "Node ${each.key} of cell ${var.cell} is to be in AZ ${each.value}, which its blueprint does not have."
    }
    precondition {
      condition     = !contains(keys(var.added), each.key) || !contains(keys(local.planned), each.key)
      error_message = "Node ${each.key} of cell ${var.cell} is added under an id that the cell began with: an id is never used twice."
    }
  }
}

resource "aws_ebs_volume" "data" {
  for_each          = local.nodes
  availability_zone = var.network.subnets.cell[each.value].availability_zone
  type              = local.machine.volume.kind
  size              = local.machine.volume.bytes / 1073741824
  iops              = local.machine.volume.iops
  throughput        = try(local.machine.volume.throughput_bytes / 1048576, null)
  encrypted         = true
  kms_key_id        = var.kms_key_arn
  tags              = merge(local.tags, { Name = "${local.name}-${each.key}" })
}

resource "aws_instance" "node" {
  for_each                = local.nodes
  ami                     = var.image
  instance_type           = local.machine.instance_type
  availability_zone       = var.network.subnets.cell[each.value].availability_zone
  placement_group         = aws_placement_group.cell.name
  iam_instance_profile    = module.machine.instance_profile
  user_data               = module.machine.user_data[each.key]
  ebs_optimized           = true
  disable_api_termination = false
  tags                    = merge(local.tags, { Name = "${local.name}-${each.key}", "bulkhead:node" = each.key })

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
    # Another image or build reaches a cell node by node, each replaced while the others serve; never all at once by an apply.
    ignore_changes = [ami, user_data]
  }
}

resource "aws_volume_attachment" "data" {
  for_each    = local.nodes
  device_name = "/dev/sdf"
  instance_id = aws_instance.node[each.key].id
  volume_id   = aws_ebs_volume.data[each.key].id
}
