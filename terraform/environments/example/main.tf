# A fleet: network, control plane, routers and as many cells as `cells` names. Each cell is the same module with the same blueprint;
# one more entry stamps one more cell and touches no other.

provider "aws" {
  region = var.region
}

locals {
  tags = { "bulkhead:fleet" = "example" }
  build = {
    for program, sha256 in {
      cell = var.builds.cell_sha256, router = var.builds.router_sha256, control-plane = var.builds.control_plane_sha256
    } : program => { version = var.builds.version, source = var.builds.source, sha256 = sha256 }
  }
}

module "network" {
  source             = "../../modules/network"
  name               = "bulkhead"
  availability_zones = var.availability_zones
  tags               = local.tags
}

module "control_plane" {
  source          = "../../modules/control-plane"
  name            = "bulkhead"
  network         = module.network.network
  image           = var.image
  build           = local.build["control-plane"]
  kms_key_arn     = var.kms_key_arn
  blueprint_files = { aws-small = "${path.module}/../../../blueprints/aws-small.toml" }
  operator_cidrs  = var.operator_cidrs
  secrets         = var.secrets
  tags            = local.tags
}

module "router" {
  source          = "../../modules/router"
  name            = "bulkhead"
  network         = module.network.network
  image           = var.image
  build           = local.build["router"]
  kms_key_arn     = var.kms_key_arn
  certificate_arn = var.certificate_arn
  client_cidrs    = var.client_cidrs
  domains         = var.domains
  control_plane   = module.control_plane.control_plane
  secrets         = { machine_token = var.secrets.machine_token }
  tags            = local.tags
}

module "cell" {
  source                   = "../../modules/cell"
  for_each                 = var.cells
  cell                     = each.key
  blueprint_file           = "${path.module}/blueprints/${each.value.blueprint}.json"
  blueprint_hash           = each.value.blueprint_hash
  added                    = each.value.added
  removed                  = each.value.removed
  network                  = module.network.network
  image                    = var.image
  build                    = local.build["cell"]
  kms_key_arn              = var.kms_key_arn
  domains                  = var.domains
  control_plane            = module.control_plane.control_plane
  router_security_group_id = module.router.router.security_group_id
  secrets                  = merge(each.value.secrets, { machine_token = var.secrets.machine_token })
  tags                     = local.tags
}
