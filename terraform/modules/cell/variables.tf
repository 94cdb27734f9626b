variable "cell" {
  description = "The cell's name, for example c1. It is in no other fleet of the account."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", var.cell)) && !contains(["router", "control-plane"], var.cell)
    error_message = "cell must be 1 to 32 of a-z, 0-9 and '-', not at either end, and not router or control-plane."
  }
}

variable "blueprint_file" {
  description = "The blueprint, as `bulkhead blueprint canonical FILE` prints it: the form that its hash is taken of."
  type        = string

  validation {
    condition     = can(jsondecode(file(var.blueprint_file)).topology.nodes_per_az)
    error_message = "blueprint_file must be what `bulkhead blueprint canonical FILE` prints."
  }
  validation {
    condition     = can(jsondecode(file(var.blueprint_file)).machine.instance_type)
    error_message = "The blueprint has no [machine], so it does not say what its nodes run on: it is for processes on one machine."
  }
}

variable "blueprint_hash" {
  description = "The hash of the blueprint that the cell was requested with. A cell never gets another one."
  type        = string

  validation {
    condition     = var.blueprint_hash == sha256(trimspace(file(var.blueprint_file)))
    error_message = "The cell was requested with blueprint ${var.blueprint_hash}, but the file is ${sha256(trimspace(file(var.blueprint_file)))}: a cell never changes its blueprint. Stamp another cell."
  }
}

variable "added" {
  description = "Nodes beyond those that the blueprint begins with, as node id and AZ: those that take the place of others. An id is never used twice."
  type        = map(string)
  default     = {}
}

variable "removed" {
  description = "Ids of nodes that others have replaced. They stay listed for as long as the cell exists."
  type        = set(string)
  default     = []
}

variable "control_plane" {
  description = "The output `control_plane` of the control-plane module."
  type = object({
    api               = list(string)
    security_group_id = string
  })
}

variable "router_security_group_id" {
  description = "The security group of the routers."
  type        = string
}

variable "secrets" {
  description = "ARNs in Secrets Manager, made by whoever stamps the cell: admin token, peer token and key of this cell, and the token it shows to the control plane."
  type = object({
    admin_token   = string
    peer_token    = string
    cell_key      = string
    machine_token = string
  })
}

variable "domains" {
  description = "Base domains of virtual-host style requests, for example s3.example.org."
  type        = list(string)
  default     = []
}

variable "network" {
  description = "The output `network` of the network module."
  type = object({
    vpc_id = string
    region = string
    subnets = map(map(object({
      id                = string
      cidr              = string
      availability_zone = string
    })))
    s3_prefix_list_id         = string
    secrets_security_group_id = string
  })
}

variable "image" {
  description = "The machine image: Amazon Linux 2023, for its AWS CLI. Pinned by id, so that machines stamped on different days are alike."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]{8,17}$", var.image))
    error_message = "image must be the id of an image, for example ami-0123456789abcdef0."
  }
}

variable "build" {
  description = "The build to install: its version, where the binaries of that version are (s3://BUCKET/PREFIX), and the SHA-256 of the binary."
  type = object({
    version = string
    source  = string
    sha256  = string
  })

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.build.sha256))
    error_message = "build.sha256 must be 64 hex digits: what `sha256sum` prints for the binary."
  }
  validation {
    condition     = can(regex("^[0-9A-Za-z.+-]{1,64}$", var.build.version)) && can(regex("^s3://[a-z0-9.-]+/[0-9A-Za-z/._-]+$", var.build.source))
    error_message = "build.version must be like 1.2.3, and build.source like s3://bucket/prefix without a slash at its end."
  }
}

variable "kms_key_arn" {
  description = "The key that encrypts the volumes and the secrets."
  type        = string

  validation {
    condition     = startswith(var.kms_key_arn, "arn:")
    error_message = "kms_key_arn must be the ARN of a KMS key: nothing is kept unencrypted."
  }
}

variable "tags" {
  description = "Put on everything."
  type        = map(string)
  default     = {}
}
