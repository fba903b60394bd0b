# made by go generate from plugin/docs: change it there
# https://github.com/hashicorp/integration-template#metadata-configuration
integration {
  name        = "cincbake"
  description = "Bakes immutable images for every role of a Cinc Server cluster, from one cluster.yaml."
  identifier  = "packer/cincbake/cincbake"
  component {
    type = "builder"
    name = "cincbake-rootfs"
    slug = "rootfs"
  }
  component {
    type = "provisioner"
    name = "cincbake-role"
    slug = "role"
  }
  component {
    type = "post-processor"
    name = "cincbake-catalogue"
    slug = "catalogue"
  }
  component {
    type = "data-source"
    name = "cincbake-image"
    slug = "image"
  }
  component {
    type = "data-source"
    name = "cincbake-recipe"
    slug = "recipe"
  }
}
