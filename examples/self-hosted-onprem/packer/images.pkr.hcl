# Bakes one image per role of a cincbake cluster. "cincbake bake" runs it; so does Packer alone, as root:
#   packer build packer/images.pkr.hcl
# Add provisioners of your own before cincbake-role: it verifies and seals, so nothing may come after it.

packer {
  required_plugins {
    cincbake = {
      source  = "github.com/cincbake/cincbake"
      version = ">= 0.1.0"
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
  description = "The folder that the images go to."
}

variable "cache" {
  type        = string
  default     = "/var/cache/cincbake"
  description = "Keeps base systems and packages for the next bake. Not on overlayfs, as in most containers: name a volume."
}

variable "mirror" {
  type        = string
  default     = "http://deb.debian.org/debian"
  description = "Where the base system's packages come from. They are signed, so plain HTTP will do."
}

source "cincbake-rootfs" "lb" {
  spec      = var.spec
  role      = "lb"
  images    = var.images
  cache_dir = var.cache
  mirror    = var.mirror
}

source "cincbake-rootfs" "api" {
  spec      = var.spec
  role      = "api"
  images    = var.images
  cache_dir = var.cache
  mirror    = var.mirror
}

source "cincbake-rootfs" "postgres" {
  spec      = var.spec
  role      = "postgres"
  images    = var.images
  cache_dir = var.cache
  mirror    = var.mirror
}

source "cincbake-rootfs" "heartbeat" {
  spec      = var.spec
  role      = "heartbeat"
  images    = var.images
  cache_dir = var.cache
  mirror    = var.mirror
}

source "cincbake-rootfs" "opensearch" {
  spec      = var.spec
  role      = "opensearch"
  images    = var.images
  cache_dir = var.cache
  mirror    = var.mirror
}

build {
  sources = ["cincbake-rootfs.lb", "cincbake-rootfs.api", "cincbake-rootfs.postgres", "cincbake-rootfs.heartbeat", "cincbake-rootfs.opensearch"]

  provisioner "cincbake-role" {
    spec = var.spec
    role = source.name
  }
}
