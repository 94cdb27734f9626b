variable "name" {
  description = "Names the role of these machines, for example bulkhead-c1."
  type        = string
}

variable "program" {
  description = "The binary they run: bulkhead-cell, bulkhead-router or bulkhead-control-plane."
  type        = string

  validation {
    condition     = contains(["bulkhead-cell", "bulkhead-router", "bulkhead-control-plane"], var.program)
    error_message = "program must be bulkhead-cell, bulkhead-router or bulkhead-control-plane."
  }
}

variable "region" {
  description = "Where builds and secrets are fetched."
  type        = string
}

variable "configs" {
  description = "The configuration of each machine, by the machine's key. `@address@` in it becomes the machine's own private address."
  type        = map(string)
}

variable "files" {
  description = "Further files of every machine: name in /etc/bulkhead and content. Nothing secret: it is in the state."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Secrets of every machine: name in /etc/bulkhead, and ARN in Secrets Manager. Their values are never in the state."
  type        = map(string)

  validation {
    condition     = alltrue([for arn in values(var.secrets) : can(regex("^arn:[^:]+:secretsmanager:[^:]+:[0-9]{12}:secret:[^*]+$", arn))])
    error_message = "Each of secrets must be the whole ARN of a secret, without a wildcard."
  }
}

variable "rights" {
  description = "Further statements of the role's policy."
  type        = list(any)
  default     = []
}

variable "build" {
  description = "As in the modules that use this one."
  type = object({
    version = string
    source  = string
    sha256  = string
  })
}

variable "kms_key_arn" {
  description = "As in the modules that use this one."
  type        = string
}

variable "tags" {
  description = "Put on everything."
  type        = map(string)
  default     = {}
}
