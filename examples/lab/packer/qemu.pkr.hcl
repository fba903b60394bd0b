# Bakes an image of each role of a cincbake cluster in a virtual machine of QEMU, which starts from Debian's own cloud image.
# packer/rootfs.pkr.hcl is many times faster; this one needs no root, and takes whatever disk image you name.
# "cincbake bake --builder qemu" runs it; so does Packer alone, with a key that it may enter the machine with:
#   ssh-keygen -q -t ed25519 -N '' -f bake-key
#   packer build -var ssh_key_file=bake-key packer/qemu.pkr.hcl
# Add provisioners of your own before cincbake-role: it verifies and seals, so nothing may come after it.

packer {
  required_plugins {
    cincbake = {
      source  = "github.com/cincbake/cincbake"
      version = ">= 0.1.0"
    }
    # Exactly: Packer has no lock file for plugins, and another version is another QEMU command line.
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = "1.0.9"
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

variable "output" {
  type        = string
  default     = "bakery"
  description = "The folder that disks are in while they are baked, one below it for each role."
}

variable "snapshot" {
  type        = bool
  default     = false
  description = "Takes Debian as it was at the lock file's moment."
}

variable "iso_url" {
  type        = string
  default     = "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2"
  description = "The disk image to start from: one with cloud-init, of the system that the cluster's file names."
}

variable "iso_checksum" {
  type        = string
  default     = "file:https://cloud.debian.org/images/cloud/trixie/latest/SHA512SUMS"
  description = "What it must be: sha256:… or sha512:…, or file: and where a list of checksums is. Name a dated image and its sum to pin it."
}

variable "accelerator" {
  type        = string
  default     = "kvm"
  description = "kvm, or tcg where there is no /dev/kvm: the processor in software, ten times slower."

  validation {
    condition     = contains(["kvm", "tcg"], var.accelerator)
    error_message = "The accelerator is kvm or tcg."
  }
}

variable "cpus" {
  type        = number
  default     = 2
  description = "Processors of the machine that bakes."
}

variable "memory" {
  type        = number
  default     = 2048
  description = "Its memory, in MiB."
}

variable "disk_size" {
  type        = string
  default     = "8G"
  description = "The root disk of every machine that will boot from the image. Data has disks of its own."
}

variable "ssh_key_file" {
  type        = string
  default     = ""
  description = "The private half of a key pair whose public half lies beside it as .pub. This builder cannot make one; cincbake bake does."
}

variable "ssh_timeout" {
  type        = string
  default     = "20m"
  description = "How long the machine may take to boot: under a minute with kvm, some minutes with tcg."
}

source "qemu" "role" {
  iso_url      = var.iso_url
  iso_checksum = var.iso_checksum
  disk_image   = true # it is a disk already, not an installer's CD

  accelerator = var.accelerator
  cpu_model   = var.accelerator == "kvm" ? "host" : "max"
  cpus        = var.cpus
  memory      = var.memory
  headless    = true
  # The seed is a CD, and Debian's cloud kernel finds one on pc's IDE alone: on q35 it is AHCI, and nothing would ever answer.
  machine_type = "pc"

  disk_size      = var.disk_size # else it grows to 40G
  disk_interface = "virtio"
  disk_discard   = "unmap"
  disk_cache     = "unsafe" # of a bake that breaks off nothing is kept, so no write has to wait for the host's disk
  format         = "qcow2"
  # The file is written once more at the end, packed, without the blocks that were freed.
  disk_compression = true

  net_device = "virtio-net"
  # The builder's own line lets everybody on the network in who knows the port.
  qemuargs = [["-netdev", "user,id=user.0,hostfwd=tcp:127.0.0.1:{{ .SSHHostPort }}-:22"]]

  # The machine's first boot: nobody but root with the key gets in, and cloud-init does nothing that is not needed.
  cd_label = "cidata"
  cd_content = {
    "meta-data" = yamlencode({ "instance-id" = "bake-${source.name}", "local-hostname" = "bake" })
    "user-data" = "#cloud-config\n${yamlencode({
      disable_root     = false
      users            = [{ name = "root", ssh_authorized_keys = var.ssh_key_file == "" ? [] : [trimspace(file("${var.ssh_key_file}.pub"))] }]
      ssh_genkeytypes  = ["ed25519"]
      manage_etc_hosts = true
      locale           = false
    })}"
  }
  boot_wait = "-1s" # nothing is typed at its console

  ssh_username                 = "root"
  ssh_private_key_file         = var.ssh_key_file
  ssh_timeout                  = var.ssh_timeout
  ssh_disable_agent_forwarding = true
  # Sealing took the key and the host's keys away. The connection is still there, and this is the last that it is used for.
  shutdown_command = "fstrim --all; systemctl poweroff"
  shutdown_timeout = "10m"

  vm_name          = "${source.name}.qcow2"
  output_directory = "${var.output}/${source.name}"
}

build {
  source "qemu.role" { name = "postgres" }
  source "qemu.role" { name = "heartbeat" }

  provisioner "cincbake-role" {
    spec     = var.spec
    role     = source.name
    snapshot = var.snapshot
    results  = "${var.output}/${source.name}-results"
  }

  # Moves the disk into the catalogue, with its record, its bill of materials and its manifest.
  post-processor "cincbake-catalogue" {
    spec    = var.spec
    role    = source.name
    images  = var.images
    results = "${var.output}/${source.name}-results"
    base    = basename(var.iso_url)
  }
}
