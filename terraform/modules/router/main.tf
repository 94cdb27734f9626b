# Routers behind a network load balancer, in three AZs. A router keeps nothing but its saved table, so one that dies is made anew.

locals {
  azs   = sort(keys(var.network.subnets.router))
  ports = { s3 = 9000, admin = 9001 }
  tags  = merge(var.tags, { "bulkhead:role" = "router" })
}

module "machine" {
  source      = "../machine"
  name        = "${var.name}-router"
  program     = "bulkhead-router"
  region      = var.network.region
  build       = var.build
  kms_key_arn = var.kms_key_arn
  tags        = local.tags
  secrets     = { "machine.token" = var.secrets.machine_token }
  configs = {
    router = templatefile("${path.module}/config.toml.tftpl", {
      ports                      = local.ports
      control_plane              = jsonencode(var.control_plane.api)
      domains                    = jsonencode(var.domains)
      connections_per_source_max = var.connections_per_source_max
    })
  }
}

resource "aws_launch_template" "router" {
  name_prefix            = "${var.name}-router-"
  image_id               = var.image
  instance_type          = var.instance_type
  user_data              = base64encode(module.machine.user_data["router"])
  ebs_optimized          = true
  update_default_version = true
  tags                   = local.tags

  iam_instance_profile {
    name = module.machine.instance_profile
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = false
    security_groups             = [aws_security_group.router.id]
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  # The image's own volume, and one for the saved table.
  dynamic "block_device_mappings" {
    for_each = { "/dev/xvda" = 20, "/dev/sdf" = 10 }
    content {
      device_name = block_device_mappings.key
      ebs {
        volume_type = "gp3"
        volume_size = block_device_mappings.value
        encrypted   = true
        kms_key_id  = var.kms_key_arn
      }
    }
  }

  tag_specifications {
    resource_type = "instance"
    tags          = merge(local.tags, { Name = "${var.name}-router" })
  }
}

# A group for each AZ: what is lost in one is made anew in the same, and no other AZ fills up for it.
resource "aws_autoscaling_group" "router" {
  for_each                  = toset(local.azs)
  name_prefix               = "${var.name}-router-${each.key}-"
  vpc_zone_identifier       = [var.network.subnets.router[each.key].id]
  min_size                  = var.routers_per_az
  max_size                  = var.routers_per_az
  desired_capacity          = var.routers_per_az
  health_check_type         = "ELB"
  health_check_grace_period = 300
  target_group_arns         = [aws_lb_target_group.s3.arn]
  # Another build is rolled out by hand, AZ by AZ: replacing an instance takes the newest template.
  launch_template {
    id      = aws_launch_template.router.id
    version = "$Latest"
  }

  dynamic "tag" {
    for_each = local.tags
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }
}

resource "aws_lb" "s3" {
  name                             = "${var.name}-s3"
  load_balancer_type               = "network"
  internal                         = true
  subnets                          = [for az in local.azs : var.network.subnets.router[az].id]
  security_groups                  = [aws_security_group.balancer.id]
  enable_cross_zone_load_balancing = true
  tags                             = local.tags
}

resource "aws_lb_target_group" "s3" {
  name                 = "${var.name}-s3"
  port                 = local.ports.s3
  protocol             = "TCP"
  target_type          = "instance"
  vpc_id               = var.network.vpc_id
  deregistration_delay = 60
  # A router counts connections by where they come from.
  preserve_client_ip = true
  tags               = local.tags

  health_check {
    protocol            = "HTTP"
    port                = local.ports.admin
    path                = "/readyz"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "s3" {
  load_balancer_arn = aws_lb.s3.arn
  port              = 443
  protocol          = "TLS"
  certificate_arn   = var.certificate_arn
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  tags              = local.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.s3.arn
  }
}
