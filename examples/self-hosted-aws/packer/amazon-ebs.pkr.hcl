# Bakes an AMI of each role of a cincbake cluster on an instance that starts from Debian's own AMI.
# "cincbake bake" runs it; so does Packer alone, with credentials as the AWS command line finds them:
#   packer build packer/amazon-ebs.pkr.hcl
# Add provisioners of your own before cincbake-role: it verifies and seals, so nothing may come after it.

packer {
  required_plugins {
    cincbake = {
      source  = "github.com/cincbake/cincbake"
      version = ">= 0.1.0"
    }
    # Exactly: Packer has no lock file for plugins, and another version calls AWS otherwise.
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "1.3.4"
    }
  }
}

variable "spec" {
  type        = string
  default     = "cluster.yaml"
  description = "The cluster whose images these are."
}

variable "images" {
  type        = string
  default     = "images"
  description = "The folder that the images' records go to."
}

variable "results" {
  type        = string
  default     = "bakery"
  description = "The folder for what comes back from each instance, until it is in the catalogue."
}

variable "snapshot" {
  type        = bool
  default     = false
  description = "Takes Debian as it was at the lock file's moment."
}

variable "source_ami" {
  type        = string
  default     = ""
  description = "The AMI to start from, to pin it. Empty: Debian's newest. It must be Debian's in any case."
}

variable "subnet_id" {
  type        = string
  default     = ""
  description = "Where the instance is started. Empty: the default VPC."
}

variable "ssh_interface" {
  type        = string
  default     = "public_ip"
  description = "How Packer reaches it: public_ip, private_ip from inside the network, or session_manager, which opens no port at all."
}

variable "ssh_cidrs" {
  type        = list(string)
  default     = []
  description = "Who may reach its port 22 while it bakes. Empty: the one public address that this host is seen under."
}

variable "iam_instance_profile" {
  type        = string
  default     = ""
  description = "For session_manager: one with AmazonSSMManagedInstanceCore. Packer's host needs session-manager-plugin then."
}

variable "kms_key_id" {
  type        = string
  default     = ""
  description = "The key that the AMI is encrypted with. Empty: the account's default for EBS, whose AMIs no other account can use."
}

variable "ami_regions" {
  type        = list(string)
  default     = []
  description = "Regions that the AMI is copied to."
}

variable "region_kms_key_ids" {
  type        = map(string)
  default     = {}
  description = "The key of each of these regions. Without, a copy is encrypted with that region's default for EBS."
}

variable "ami_org_arns" {
  type        = list(string)
  default     = []
  description = "Organizations that may use the AMI. They need kms_key_id, and a grant on that key."
}

variable "deprecate_after_days" {
  type        = number
  default     = 180
  description = "When the AMI is no longer offered. It still works; only nobody should start with it."
}

variable "skip_create_ami" {
  type        = bool
  default     = false
  description = "Bakes, verifies and seals, and makes no AMI: for trying a change."
}

data "cincbake-recipe" "api" {
  spec = var.spec
  role = "api"
}

data "cincbake-recipe" "postgres" {
  spec = var.spec
  role = "postgres"
}

data "cincbake-recipe" "heartbeat" {
  spec = var.spec
  role = "heartbeat"
}

data "cincbake-recipe" "opensearch" {
  spec = var.spec
  role = "opensearch"
}

locals {
  # The moment makes names unique, as AMIs' must be; which recipe it is, is in the tags.
  moment = formatdate("YYYYMMDD-hhmmss", timestamp())
}

# What all roles have in common; source.name is the role.
source "amazon-ebs" "role" {
  region        = data.cincbake-recipe[source.name].region
  instance_type = data.cincbake-recipe[source.name].instance_type
  subnet_id     = var.subnet_id

  ami_name           = "cincbake-${source.name}-${local.moment}"
  ami_description    = data.cincbake-recipe[source.name].name
  ami_regions        = var.ami_regions
  ami_org_arns       = var.ami_org_arns
  deprecate_at       = timeadd(timestamp(), "${var.deprecate_after_days * 24}h")
  skip_create_ami    = var.skip_create_ami
  encrypt_boot       = length(var.region_kms_key_ids) > 0 ? true : null # the copies only: it costs a copy of its own here
  kms_key_id         = length(var.region_kms_key_ids) > 0 ? var.kms_key_id : ""
  region_kms_key_ids = var.region_kms_key_ids
  # No deregistration_protection: it would be set before the tags, so that a failure between them leaves an AMI that nobody can
  # find and nobody can remove. Protect it afterwards.

  # A name alone would take anybody's AMI that is called so: the owner is Debian. A pinned one must be its too.
  source_ami = var.source_ami
  source_ami_filter {
    owners      = [data.cincbake-recipe[source.name].source_ami_owner]
    most_recent = true
    filters = {
      name                = var.source_ami == "" ? data.cincbake-recipe[source.name].source_ami_name : "*"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  # Encrypted from the first block on. Of the same name as the AMI's own root device, which this replaces.
  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = data.cincbake-recipe[source.name].volume_gb
    encrypted             = true
    kms_key_id            = var.kms_key_id
    delete_on_termination = true
  }

  # The metadata service takes tokens only: imds_support is of the AMI and whatever starts from it, metadata_options of the
  # instance that bakes. Accounts that insist on tokens refuse one without the other.
  imds_support = "v2.0"
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  # Everything that a bake makes says whose it is, so that what a killed one leaves can be found.
  tags            = data.cincbake-recipe[source.name].tags
  snapshot_tags   = data.cincbake-recipe[source.name].tags
  run_tags        = data.cincbake-recipe[source.name].tags
  run_volume_tags = data.cincbake-recipe[source.name].tags

  # A bake whose host is gone: the instance powers itself off, and that ends it. Packer's own stop does not.
  shutdown_behavior = "terminate"
  user_data         = "#!/bin/sh\nshutdown --poweroff +180\n"

  ssh_username                              = "admin" # Debian's
  ssh_interface                             = var.ssh_interface
  iam_instance_profile                      = var.iam_instance_profile
  associate_public_ip_address               = var.subnet_id == "" ? null : var.ssh_interface == "public_ip"
  temporary_security_group_source_cidrs     = var.ssh_cidrs
  temporary_security_group_source_public_ip = length(var.ssh_cidrs) == 0 # else Packer lets the whole world in
  temporary_key_pair_type                   = "ed25519"
  ssh_clear_authorized_keys                 = true
  ssh_disable_agent_forwarding              = true
  ssh_timeout                               = "10m"

  # An hour: large snapshots and copies take longer than the default waits.
  aws_polling {
    delay_seconds = 15
    max_attempts  = 240
  }
}

build {
  source "amazon-ebs.role" { name = "api" }
  source "amazon-ebs.role" { name = "postgres" }
  source "amazon-ebs.role" { name = "heartbeat" }
  source "amazon-ebs.role" { name = "opensearch" }

  provisioner "cincbake-role" {
    spec     = var.spec
    role     = source.name
    sudo     = true
    snapshot = var.snapshot
    results  = "${var.results}/${source.name}"
  }

  # Adds the AMI to the catalogue, with its record, its bill of materials and its manifest.
  post-processor "cincbake-catalogue" {
    spec    = var.spec
    role    = source.name
    images  = var.images
    results = "${var.results}/${source.name}"
  }
}
