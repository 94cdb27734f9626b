variable "name" {
  description = "Names the fleet's network in tags."
  type        = string
}

variable "cidr" {
  description = "The VPC's range, a /16: each AZ gets a /18 of it."
  type        = string
  default     = "10.64.0.0/16"

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && endswith(var.cidr, "/16")
    error_message = "cidr must be a /16, for example 10.64.0.0/16: each of three AZs gets a /18 of it."
  }
}

variable "availability_zones" {
  description = "The AZs of the blueprints, and which zone of the region each is. Exactly three, each another one."
  type        = map(string)

  validation {
    condition     = length(var.availability_zones) == 3 && length(distinct(values(var.availability_zones))) == 3
    error_message = "availability_zones must name three AZs in three different zones: each copy is in another, and one may be lost."
  }
}

variable "tags" {
  description = "Put on everything."
  type        = map(string)
  default     = {}
}
