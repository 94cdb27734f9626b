variable "name" {
  description = "Names the fleet's control plane, for example bulkhead."
  type        = string
}

variable "instance_type" {
  description = "What its nodes run on. It holds the directory in memory and on disk, and no object data."
  type        = string
  default     = "m6i.large"
}

variable "blueprint_files" {
  description = "Blueprints by name (TOML): the files of blueprints/."
  type        = map(string)
}

variable "secrets" {
  description = "ARNs in Secrets Manager: the admin token, the token of routers and cells, the token of its own nodes, and the seed that certificates are signed with."
  type = object({
    admin_token   = string
    machine_token = string
    peer_token    = string
    certify_key   = string
  })
}

variable "stamp_role_arn" {
  description = "The role that may create cells, which its nodes may assume; null when cells are stamped from elsewhere."
  type        = string
  default     = null
}

variable "operator_cidrs" {
  description = "From where operators call its API, for example the range of a VPN."
  type        = list(string)

  validation {
    condition     = alltrue([for range in var.operator_cidrs : can(cidrhost(range, 0)) && tonumber(split("/", range)[1]) >= 8])
    error_message = "Each of operator_cidrs must be a range of at most a /8: the API is not open to the world."
  }
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
