# Bakes an image of each role of a cincbake cluster: trees of files and disks that boot, made without booting anything.
# "cincbake bake" runs it; so does Packer alone, as root on Debian or Ubuntu:
#   packer build packer/rootfs.pkr.hcl
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

variable "formats" {
  type        = list(string)
  default     = ["rootfs"]
  description = "What each image is there as: rootfs, a tree of files, and qcow2, a disk that boots. Both have the same content."
}

variable "disk_size" {
  type        = string
  default     = "4G"
  description = "The size of the qcow2 disk. The root file system grows to a larger one at its first boot."
}

variable "base_tarball" {
  type        = string
  default     = ""
  description = "A root file system of your own to start from, as a tar file. Empty: mmdebstrap makes one."
}

variable "base_tarball_sha256" {
  type        = string
  default     = ""
  description = "What it must be."
}

variable "base_max_age" {
  type        = string
  default     = "168h"
  description = "How old a base system in the cache may be before it is made again, with the security updates since."
}

variable "cache" {
  type        = string
  default     = "/var/cache/cincbake"
  description = "Keeps base systems and packages for the next bake. Not on overlayfs, as in most containers: name a volume."
}

variable "mirror" {
  type        = string
  default     = ""
  description = "A server with Debian's archives below it, like http://mirror.example.com. Empty: what the cluster's file says, else Debian's own."
}

variable "offline" {
  type        = bool
  default     = false
  description = "Bakes from the cache alone, and fails on what is not in it."
}

variable "snapshot" {
  type        = bool
  default     = false
  description = "Takes Debian as it was at the lock file's moment."
}

# What all roles have in common, which is everything: source.name is the role.
source "cincbake-rootfs" "role" {
  spec      = var.spec
  role      = source.name
  images    = var.images
  formats   = var.formats
  disk_size = var.disk_size

  base_tarball        = var.base_tarball
  base_tarball_sha256 = var.base_tarball_sha256
  base_max_age        = var.base_max_age

  cache_dir = var.cache
  mirror    = var.mirror
  offline   = var.offline
  snapshot  = var.snapshot
}

build {
  source "cincbake-rootfs.role" { name = "lb" }
  source "cincbake-rootfs.role" { name = "api" }

  provisioner "cincbake-role" {
    spec = var.spec
    role = source.name
  }
}
