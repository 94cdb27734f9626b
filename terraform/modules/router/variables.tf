variable "name" {
  description = "Names the fleet's routers, for example bulkhead."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$", var.name))
    error_message = "name must be 1 to 24 of a-z, 0-9 and '-', not at either end: load balancers are named after it."
  }
}

variable "instance_type" {
  description = "What a router runs on: it streams bytes and holds the routing table in memory."
  type        = string
  default     = "c6in.xlarge"
}

variable "routers_per_az" {
  description = "Routers in each of three AZs."
  type        = number
  default     = 1

  validation {
    condition     = var.routers_per_az >= 1 && var.routers_per_az <= 20 && floor(var.routers_per_az) == var.routers_per_az
    error_message = "routers_per_az must be a whole number from 1 to 20: with none in an AZ, its clients cross to another."
  }
}

variable "client_cidrs" {
  description = "From where clients come: ranges of peered networks, VPNs or this VPC."
  type        = list(string)

  validation {
    condition     = length(var.client_cidrs) > 0 && alltrue([for range in var.client_cidrs : can(cidrhost(range, 0)) && tonumber(split("/", range)[1]) >= 8])
    error_message = "client_cidrs must name at least one range, each at most a /8: the balancer has no public address and is not open to the world."
  }
}

variable "connections_per_source_max" {
  description = "Connections of one client address; more where many clients share one address."
  type        = number
  default     = 1024
}

variable "certificate_arn" {
  description = "The certificate of the S3 endpoint, in ACM. The balancer ends TLS."
  type        = string

  validation {
    condition     = startswith(var.certificate_arn, "arn:")
    error_message = "certificate_arn must be the ARN of a certificate: there is no endpoint without TLS."
  }
}

variable "domains" {
  description = "Base domains of virtual-host style requests, for example s3.example.org."
  type        = list(string)
  default     = []
}

variable "control_plane" {
  description = "The output `control_plane` of the control-plane module."
  type = object({
    api               = list(string)
    security_group_id = string
  })
}

variable "secrets" {
  description = "ARNs in Secrets Manager: the token that routers show to the control plane."
  type = object({
    machine_token = string
  })
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
