output "network" {
  description = "What the other modules take: the VPC, its subnets by role and AZ, and how to reach S3 and Secrets Manager."
  value = {
    vpc_id = aws_vpc.fleet.id
    region = data.aws_region.here.name
    subnets = {
      for role in ["cell", "router", "control"] : role => {
        for az in local.azs : az => {
          id                = aws_subnet.private["${role}/${az}"].id
          cidr              = local.subnets["${role}/${az}"].cidr
          availability_zone = var.availability_zones[az]
        }
      }
    }
    s3_prefix_list_id         = aws_vpc_endpoint.s3.prefix_list_id
    secrets_security_group_id = aws_security_group.secrets.id
  }
}
