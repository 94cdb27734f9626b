output "router" {
  description = "The endpoint's name in DNS, and the security group that cells let in."
  value = {
    endpoint          = aws_lb.s3.dns_name
    security_group_id = aws_security_group.router.id
  }
}
