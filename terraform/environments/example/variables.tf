variable "region" {
  description = "The region of the fleet."
  type        = string
  default     = "eu-west-1"
}

variable "availability_zones" {
  description = "The AZs of the blueprints, and which zone of the region each is."
  type        = map(string)
  default     = { az-a = "eu-west-1a", az-b = "eu-west-1b", az-c = "eu-west-1c" }
}

variable "image" {
  description = "The id of an Amazon Linux 2023 image."
  type        = string
}

variable "builds" {
  description = "The build of each binary: version, where it is (s3://BUCKET/PREFIX, the binary below PREFIX/VERSION/), SHA-256."
  type = object({
    version              = string
    source               = string
    cell_sha256          = string
    router_sha256        = string
    control_plane_sha256 = string
  })
}

variable "kms_key_arn" {
  description = "The key that encrypts volumes and secrets."
  type        = string
}

variable "certificate_arn" {
  description = "The certificate of the S3 endpoint."
  type        = string
}

variable "domains" {
  description = "Base domains of virtual-host style requests."
  type        = list(string)
  default     = []
}

variable "client_cidrs" {
  description = "From where clients come."
  type        = list(string)
}

variable "operator_cidrs" {
  description = "From where operators call the control plane."
  type        = list(string)
}

variable "secrets" {
  description = "ARNs in Secrets Manager of the control plane's tokens, and of the key that signs certificates."
  type = object({
    admin_token   = string
    machine_token = string
    peer_token    = string
    certify_key   = string
  })
}

variable "cells" {
  description = "The cells by name: blueprint by name and by the hash the cell was requested with, secrets, and nodes that took the place of others."
  type = map(object({
    blueprint      = string
    blueprint_hash = string
    secrets = object({
      admin_token = string
      peer_token  = string
      cell_key    = string
    })
    added   = optional(map(string), {})
    removed = optional(set(string), [])
  }))
}
