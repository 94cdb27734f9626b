# The example environment with one cell and with three. Every call of AWS is mocked; nothing is created.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  image           = "ami-0123456789abcdef0"
  kms_key_arn     = "arn:aws:kms:eu-west-1:123456789012:key/1"
  certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/1"
  client_cidrs    = ["10.64.0.0/16"]
  operator_cidrs  = ["10.9.0.0/24"]
  builds = {
    version              = "0.1.0"
    source               = "s3://builds/bulkhead"
    cell_sha256          = "1111111111111111111111111111111111111111111111111111111111111111"
    router_sha256        = "2222222222222222222222222222222222222222222222222222222222222222"
    control_plane_sha256 = "3333333333333333333333333333333333333333333333333333333333333333"
  }
  secrets = {
    admin_token   = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:admin"
    machine_token = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:machine"
    peer_token    = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:peer"
    certify_key   = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:certify"
  }
  cells = {
    for cell in ["c1"] : cell => {
      blueprint      = "aws-small"
      blueprint_hash = "ab067077514f5abccc5d61cd9fd736abe8ebbf134d60e6a79198fa55e1aba047"
      secrets = {
        admin_token = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:${cell}/admin"
        peer_token  = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:${cell}/peer"
        cell_key    = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:${cell}/key"
      }
    }
  }
}

run "a_fleet_of_one_cell" {
  command = plan
  module {
    source = "./environments/example"
  }

  assert {
    condition     = keys(output.cells) == ["c1"] && length(output.cells.c1.nodes) == 9
    error_message = "One entry is one cell of nine nodes."
  }
  assert {
    condition     = output.control_plane == ["10.64.33.10:9002", "10.64.97.10:9002", "10.64.161.10:9002"]
    error_message = "The control plane has an address of its own in each AZ."
  }
}

run "a_fleet_of_three_cells" {
  command = plan
  module {
    source = "./environments/example"
  }
  variables {
    cells = {
      for cell in ["c1", "c2", "c3"] : cell => {
        blueprint      = "aws-small"
        blueprint_hash = "ab067077514f5abccc5d61cd9fd736abe8ebbf134d60e6a79198fa55e1aba047"
        secrets = {
          admin_token = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:${cell}/admin"
          peer_token  = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:${cell}/peer"
          cell_key    = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:${cell}/key"
        }
      }
    }
  }

  assert {
    condition     = keys(output.cells) == ["c1", "c2", "c3"]
    error_message = "Three entries are three cells."
  }
  assert {
    condition = alltrue([
      for cell in output.cells : (
        cell.blueprint_hash == sha256(trimspace(file("environments/example/blueprints/aws-small.json"))) &&
        [for node in cell.nodes : node.az] == ["az-a", "az-b", "az-c", "az-a", "az-b", "az-c", "az-a", "az-b", "az-c"] &&
        [for node in cell.nodes : node.availability_zone] == [for node in output.cells.c1.nodes : node.availability_zone]
      )
    ])
    error_message = "Cells of one blueprint are alike, and carry its hash."
  }
}

run "what_the_control_plane_reads_of_a_cell" {
  # Applied with mocks: addresses and instance ids are made up, their shape is not.
  command = apply
  module {
    source = "./environments/example"
  }

  assert {
    condition = alltrue([
      for node in output.cells.c1.nodes :
      toset(keys(node)) == toset(["node", "az", "availability_zone", "instance", "s3", "admin", "peer"]) &&
      endswith(node.s3, ":9000") && endswith(node.admin, ":9001") && endswith(node.peer, ":9002")
    ])
    error_message = "Of each node: id, AZ, zone, instance, and three addresses."
  }
}
