# The formula for Homebrew. It was never tried on a Mac.
#
# Before the first use, replace <url> with the address of the repository and <sha256> with the
# checksum of the archive. Then `brew update-python-resources git-hub-session` replaces the two
# resources with the newest versions and their checksums.
class GitHubSession < Formula
  include Language::Python::Virtualenv

  desc "Sessions of parallel coding agents in git worktrees"
  homepage "<url>"
  url "<url>/archive/refs/tags/v0.1.0.tar.gz"
  sha256 "<sha256>"
  license "MIT"

  depends_on "git"
  depends_on "libyaml"
  depends_on "pygit2" => :no_linkage
  depends_on "python@3.14"

  pypi_packages exclude_packages: "pygit2"

  resource "psutil" do
    url "<url of the sdist>"
    sha256 "<sha256>"
  end

  resource "pyyaml" do
    url "<url of the sdist>"
    sha256 "<sha256>"
  end

  def install
    # The wheel puts the manual page and the completion into share of the environment.
    virtualenv_install_with_resources
    man1.install_symlink libexec/"share/man/man1/git-hub-session.1"
    bash_completion.install_symlink libexec/"share/bash-completion/completions/git-hub-session"
    zsh_completion.install_symlink libexec/"share/zsh/site-functions/_git-hub-session"
    (share/"fish/vendor_conf.d").install_symlink libexec/"share/fish/vendor_conf.d/git-hub-session.fish"
  end

  test do
    assert_match version.to_s, shell_output("git hub-session --version")
    system "git", "hub-session", "demo"
  end
end
