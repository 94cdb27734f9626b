# The root of the tests in tests/: they run the modules and the example environment, and nothing else is declared here.
terraform {
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}
