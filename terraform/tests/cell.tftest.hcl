# The cell module: nodes over AZs, figures of the blueprint, who is let in. Every call of AWS is mocked; nothing is created.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  cell           = "c1"
  blueprint_file = "environments/example/blueprints/aws-small.json"
  blueprint_hash = "ab067077514f5abccc5d61cd9fd736abe8ebbf134d60e6a79198fa55e1aba047"
  network = {
    vpc_id = "vpc-1"
    region = "eu-west-1"
    subnets = {
      for role in ["cell", "router", "control"] : role => {
        az-a = { id = "subnet-${role}-a", cidr = "10.64.0.0/19", availability_zone = "eu-west-1a" }
        az-b = { id = "subnet-${role}-b", cidr = "10.64.64.0/19", availability_zone = "eu-west-1b" }
        az-c = { id = "subnet-${role}-c", cidr = "10.64.128.0/19", availability_zone = "eu-west-1c" }
      }
    }
    s3_prefix_list_id         = "pl-1"
    secrets_security_group_id = "sg-secrets"
  }
  image                    = "ami-0123456789abcdef0"
  build                    = { version = "0.1.0", source = "s3://builds/bulkhead", sha256 = "1111111111111111111111111111111111111111111111111111111111111111" }
  kms_key_arn              = "arn:aws:kms:eu-west-1:123456789012:key/1"
  control_plane            = { api = ["10.64.33.10:9002", "10.64.97.10:9002", "10.64.161.10:9002"], security_group_id = "sg-control" }
  router_security_group_id = "sg-router"
  secrets = {
    admin_token   = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:c1/admin"
    peer_token    = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:c1/peer"
    cell_key      = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:c1/key"
    machine_token = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:machine"
  }
}

run "nodes_are_spread_over_three_azs" {
  command = plan
  module {
    source = "./modules/cell"
  }

  assert {
    condition     = length(aws_instance.node) == 9 && toset(keys(aws_instance.node)) == toset([for n in range(1, 10) : tostring(n)])
    error_message = "A cell of aws-small has the nodes 1 to 9."
  }
  assert {
    condition = alltrue([
      for zone in ["eu-west-1a", "eu-west-1b", "eu-west-1c"] :
      length([for node in aws_instance.node : node if node.availability_zone == zone]) == 3
    ])
    error_message = "Three nodes are in each zone."
  }
  assert {
    condition     = [for n in ["1", "2", "3"] : aws_instance.node[n].availability_zone] == ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
    error_message = "The first three nodes, which vote, are in three zones."
  }
  assert {
    condition = alltrue([
      for key, node in aws_instance.node : node.availability_zone == aws_ebs_volume.data[key].availability_zone
    ])
    error_message = "A volume is where its node is."
  }
  assert {
    condition     = aws_placement_group.cell.strategy == "spread" && alltrue([for node in aws_instance.node : node.placement_group == "bulkhead-c1"])
    error_message = "Nodes of an AZ are on different racks."
  }
}

run "the_blueprints_figures_arrive_unchanged" {
  command = plan
  module {
    source = "./modules/cell"
  }

  assert {
    condition = alltrue([
      for volume in aws_ebs_volume.data :
      volume.type == "gp3" && volume.size == 4096 && volume.iops == 12000 && volume.throughput == 500
    ])
    error_message = "Volumes are as the blueprint has them: gp3, 4 TiB, 12,000 IOPS, 500 MiB/s."
  }
  assert {
    condition     = alltrue([for node in aws_instance.node : node.instance_type == "m6in.2xlarge"])
    error_message = "Machines are of the blueprint's type."
  }
  assert {
    condition = alltrue([
      for script in module.machine.user_data :
      strcontains(script, base64encode(trimspace(file("environments/example/blueprints/aws-small.json"))))
    ])
    error_message = "Every node gets the blueprint byte for byte."
  }
  assert {
    condition = (
      output.cell.blueprint_hash == sha256(trimspace(file("environments/example/blueprints/aws-small.json"))) &&
      alltrue([for node in aws_instance.node : node.tags["bulkhead:blueprint"] == output.cell.blueprint_hash])
    )
    error_message = "The plan names the blueprint's hash, in the output and on every node."
  }
  assert {
    condition     = output.cell.blueprint == "aws-small" && output.cell.build == "0.1.0"
    error_message = "The output names blueprint and build."
  }
}

run "a_node_is_told_who_it_is_and_gets_the_pinned_build" {
  command = plan
  module {
    source = "./modules/cell"
  }

  assert {
    condition = alltrue([
      for number, script in module.machine.user_data : strcontains(script, base64encode(templatefile("modules/cell/config.toml.tftpl", {
        cell          = "c1"
        node          = number
        az            = ["az-c", "az-a", "az-b"][tonumber(number) % 3]
        ports         = { s3 = 9000, admin = 9001, peer = 9002 }
        control_plane = "[\"10.64.33.10:9002\",\"10.64.97.10:9002\",\"10.64.161.10:9002\"]"
        region        = "eu-west-1"
        domains       = "[]"
      })))
    ])
    error_message = "Each node's configuration names its cell, id, AZ and the control plane."
  }
  assert {
    condition = alltrue([
      for script in module.machine.user_data :
      strcontains(script, "s3://builds/bulkhead/0.1.0/bulkhead-cell") &&
      strcontains(script, "1111111111111111111111111111111111111111111111111111111111111111  /usr/local/bin/bulkhead-cell.new") &&
      strcontains(script, "sha256sum --check")
    ])
    error_message = "The build is fetched by version and checked by its SHA-256."
  }
  assert {
    condition     = alltrue([for script in module.machine.user_data : length(script) < 16384])
    error_message = "User data has at most 16 KiB."
  }
}

run "nothing_of_a_cell_is_public_or_unencrypted" {
  command = plan
  module {
    source = "./modules/cell"
  }

  assert {
    condition = alltrue([
      for node in aws_instance.node : length(node.network_interface) == 1 && one(node.network_interface).device_index == 0
    ])
    error_message = "A node has just the one interface that is made for it."
  }
  assert {
    condition     = alltrue([for interface in aws_network_interface.node : startswith(interface.subnet_id, "subnet-cell-")])
    error_message = "The interface is in a private subnet: these give no public addresses."
  }
  assert {
    condition     = alltrue([for volume in aws_ebs_volume.data : volume.encrypted && volume.kms_key_id == var.kms_key_arn])
    error_message = "Data volumes are encrypted with the fleet's key."
  }
  assert {
    condition     = alltrue([for node in aws_instance.node : alltrue([for root in node.root_block_device : root.encrypted])])
    error_message = "Root volumes are encrypted."
  }
  assert {
    condition = alltrue([
      for node in aws_instance.node : alltrue([
        for options in node.metadata_options : options.http_tokens == "required" && options.http_put_response_hop_limit == 1
      ])
    ])
    error_message = "The metadata service answers only with a token, and only to the machine itself."
  }
}

run "only_routers_the_control_plane_and_peers_are_let_in" {
  # Applied with mocks, since the group's own id is needed.
  command = apply
  module {
    source = "./modules/cell"
  }

  assert {
    condition = toset([
      for rule in aws_vpc_security_group_ingress_rule.flow : "${rule.referenced_security_group_id} ${rule.from_port}-${rule.to_port}"
      if rule.security_group_id == aws_security_group.cell.id
    ]) == toset(["sg-router 9000-9000", "sg-control 9001-9001", "sg-control 9000-9000", "${aws_security_group.cell.id} 9002-9002"])
    error_message = "Into a node: routers to S3, the control plane to admin and S3, peers to peer."
  }
  assert {
    condition = toset([
      for rule in aws_vpc_security_group_egress_rule.flow : "${rule.referenced_security_group_id} ${rule.to_port}"
      if rule.security_group_id == aws_security_group.cell.id
    ]) == toset(["${aws_security_group.cell.id} 9002", "sg-control 9002", "sg-secrets 443"])
    error_message = "Out of a node: peers, the control plane, Secrets Manager, and S3 for the build."
  }
  assert {
    condition = alltrue([
      for rule in concat(values(aws_vpc_security_group_ingress_rule.flow), values(aws_vpc_security_group_egress_rule.flow), [aws_vpc_security_group_egress_rule.builds]) :
      rule.cidr_ipv4 == null && rule.cidr_ipv6 == null
    ])
    error_message = "No rule is for a range of addresses."
  }
}

run "a_node_may_fetch_its_build_and_its_cells_secrets_and_nothing_else" {
  command = plan
  module {
    source = "./modules/cell"
  }

  assert {
    condition = [for statement in jsondecode(module.machine.policy).Statement : [statement.Action, statement.Resource]] == [
      ["s3:GetObject", "arn:aws:s3:::builds/bulkhead/0.1.0/bulkhead-cell"],
      ["secretsmanager:GetSecretValue", [
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:c1/admin", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:c1/key",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:c1/peer", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:machine",
      ]],
      ["kms:Decrypt", "arn:aws:kms:eu-west-1:123456789012:key/1"],
    ]
    error_message = "The role reads one object, four secrets, and decrypts with one key."
  }
  assert {
    condition     = !strcontains(module.machine.policy, "*")
    error_message = "There is no wildcard in the policy."
  }
}

run "a_replaced_node_gives_its_id_to_nobody" {
  command = plan
  module {
    source = "./modules/cell"
  }
  variables {
    added   = { "10" = "az-b" }
    removed = ["2"]
  }

  assert {
    condition     = length(aws_instance.node) == 9 && !contains(keys(aws_instance.node), "2") && aws_instance.node["10"].availability_zone == "eu-west-1b"
    error_message = "Node 10 takes the place of node 2 in its AZ."
  }
  assert {
    condition     = [for node in output.cell.nodes : node.node] == [1, 3, 4, 5, 6, 7, 8, 9, 10]
    error_message = "The output lists the nodes in the order of their ids."
  }
}

run "an_id_that_the_cell_began_with_is_not_added" {
  command = plan
  module {
    source = "./modules/cell"
  }
  variables {
    added = { "2" = "az-b" }
  }
  expect_failures = [aws_network_interface.node]
}

run "a_cell_never_changes_its_blueprint" {
  command = plan
  module {
    source = "./modules/cell"
  }
  variables {
    blueprint_hash = "0000000000000000000000000000000000000000000000000000000000000000"
  }
  expect_failures = [var.blueprint_hash]
}

run "a_blueprint_for_one_machine_is_refused" {
  command = plan
  module {
    source = "./modules/cell"
  }
  variables {
    blueprint_file = "tests/no-machine.json"
    blueprint_hash = "50f7ccbcb89e2cf42e7498b19b75712aa1ad6f86d9284e365d4861697c494c9c"
  }
  expect_failures = [var.blueprint_file]
}
